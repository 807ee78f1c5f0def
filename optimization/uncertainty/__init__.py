"""Bidding under uncertainty: one bid for all that may happen, one dispatch for each of it.

``problem`` states market, scenarios or forecasts and the attitude to risk; ``sampling`` draws
scenarios, ``reduction`` keeps a few of them as a tree, ``scenarios`` puts them into the dispatch
problem; ``couple`` joins their models, ``solve`` finds the bid, ``curves`` brings it into the
venue's form, ``foresight`` checks that it uses nothing it cannot know, ``result`` is the answer.

Signs and units are those of ``optimization.dispatch``: injection and sale are positive.
"""
