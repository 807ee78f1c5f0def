"""The readable face: the same model as in a textbook, in Pyomo, one equation at a time.

For those who want to read or change the model, and as an oracle of the fast face. It takes no
shortcut: every store has a binary per step, every start a category.
"""
