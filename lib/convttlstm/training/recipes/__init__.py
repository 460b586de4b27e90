"""Training recipes, by the names that the setting `training.recipe` takes."""

from convttlstm.training.recipes.adversarial import AdversarialRecipe
from convttlstm.training.recipes.base import Batch, Recipe
from convttlstm.training.recipes.likelihood import LikelihoodRecipe
from convttlstm.training.recipes.paper import PaperRecipe
from convttlstm.training.recipes.predrnn import PredRnnRecipe
from convttlstm.training.recipes.recognition import RecognitionRecipe

RECIPES: dict[str, type[Recipe]] = {
    "paper": PaperRecipe,
    "predrnn": PredRnnRecipe,
    "adversarial": AdversarialRecipe,
    "likelihood": LikelihoodRecipe,
    "recognition": RecognitionRecipe,
}

__all__ = ["RECIPES", "Batch", "Recipe"]
