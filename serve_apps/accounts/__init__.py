"""Who may come in: log-in, tokens, accounts."""
