"""Bidding under uncertainty: one bid for all that may happen, one dispatch for each of it.

``problem`` states market, scenarios or forecasts and the attitude to risk; ``sampling`` draws
scenarios, ``reduction`` keeps a few of them as a tree, ``scenarios`` puts them into the dispatch
problem; ``couple`` joins their models, ``search`` finds the best bid of them, ``apart`` a first one
without, ``solve`` is the way by a deadline; ``curves`` brings a bid into the venue's form,
``foresight`` checks that it uses nothing it cannot know, ``answer`` makes the ``result`` of it.

Signs and units are those of ``optimization.dispatch``: injection and sale are positive.
"""
