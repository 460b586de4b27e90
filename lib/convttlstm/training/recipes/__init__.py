"""How a system is trained; `config.Training.recipe` names one of these."""

from convttlstm.training.recipes.base import Batch, Recipe
from convttlstm.training.recipes.paper import PaperRecipe

RECIPES: dict[str, type[Recipe]] = {"paper": PaperRecipe}

__all__ = ["RECIPES", "Batch", "Recipe"]
