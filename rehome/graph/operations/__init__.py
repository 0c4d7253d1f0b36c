"""Operations of migrations that Django does not have, for what goes along with a model that moves.

`makemove` writes them. They are imported before the models are, so they look for these when they run.
"""
