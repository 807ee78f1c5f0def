"""Who may act, and on which part of the park: values and rules; nothing here stores or asks."""
