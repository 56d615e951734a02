"""The prepared folder: layout, preparation, folds, label sets, resident training sets, pseudo-labels."""
