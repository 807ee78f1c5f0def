"""Control of one resource: what is believed, who may command it, and what happens on loss.

Pure decisions: each takes state, an event and ``now`` and returns the next state and effects.
"""
