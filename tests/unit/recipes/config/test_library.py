"""The shipped recipes: they validate and plan, say only what they change, and are described."""

from __future__ import annotations

import pytest
import yaml
from quince.recipes.config import evaluation_name, library_recipes, load_recipe
from quince.recipes.config.language.library import LIBRARY, copy_recipe, find_parent
from quince.recipes.config.language.reading import read_file
from quince.recipes.config.language.tree import Entry, entry_at, leaves, merge, plain
from quince.recipes.config.loaded import as_entry
from quince.recipes.config.loader import SCHEMAS
from quince.recipes.plan.make_plan import make_plan

RECIPES = library_recipes()
FILES = [path for path in sorted(LIBRARY.rglob("*.yaml")) if path.parent.name not in ("_accelerate", "_lm_eval")]


def inherited(path):
    """What a file's parents say, merged, and the defaults of the schema below that."""
    tree, problems = read_file(path)
    assert problems == []
    parent = tree.value.pop("extends", None)
    return tree, merge(*inherited(find_parent(path, parent.value))[::-1]) if parent else Entry({}, "")


def own_values(path):
    """Every value a file writes; a list counts as one value."""
    tree, parents = inherited(path)
    for field, leaf in leaves(tree):
        if (first := next((i for i, key in enumerate(field) if key.isdigit()), None)) is not None:
            field = field[:first]
            leaf = entry_at(tree, field)
        yield field, leaf, tree, parents


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_validates_and_plans(name):
    loaded = load_recipe(name)
    assert loaded.name == name
    assert loaded.recipe.output_dir == f"runs/{name}"
    assert f"quince {'eval' if loaded.recipe.kind.endswith('eval') else 'train'} {name}" in make_plan(loaded)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_recipe_says_only_what_it_changes(path):
    for field, leaf, tree, parents in own_values(path):
        if _kind_changed(tree, parents, field):
            continue
        before = entry_at(parents, field)
        assert before is None or plain(before) != plain(leaf), f"{'.'.join(field)} repeats its parent"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_does_not_write_defaults(name):
    recipe = load_recipe(name).recipe
    written, parents = inherited(RECIPES[name])
    bare = {
        field: info.get_default(call_default_factory=True)
        for field, info in SCHEMAS[recipe.kind].model_fields.items()
        if not info.is_required()
    }
    defaults = as_entry({key: getattr(value, "model_dump", lambda value=value: value)() for key, value in bare.items()})
    for field, leaf in leaves(written):
        default = entry_at(defaults, field)
        unchanged = default is not None and plain(default) == plain(leaf) and entry_at(parents, field) is None
        assert not unchanged, f"{'.'.join(field)} is the default"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_described_in_its_own_words(name):
    own = yaml.safe_load(RECIPES[name].read_text(encoding="utf-8"))
    assert 10 < len(own["description"]) < 120


@pytest.mark.parametrize("folder", sorted({path.parent for path in RECIPES.values()}), ids=lambda path: path.name)
def test_a_readme_lists_every_recipe_of_its_folder(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    missing = [path.stem for path in folder.glob("*.yaml") if f"`{path.stem}`" not in text]
    assert missing == []


def test_a_family_differs_only_where_its_name_says():
    grpo, dph = (load_recipe(f"rlvr/tiny_{name}").recipe.model_dump() for name in ("grpo", "dph_js"))
    assert {key for key in grpo if grpo[key] != dph[key]} == {"description", "output_dir", "split", "divergence"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_copy_is_the_same_recipe(name, tmp_path, monkeypatch):
    monkeypatch.setenv("QUINCE_DATA", str(tmp_path))
    (tmp_path / "chat_bg.jsonl").touch()  # rows of one's own, which a copy has to have and the library cannot
    copied, original = (load_recipe(file, ["output_dir=runs/a"]) for file in (str(copy_recipe(name, tmp_path)), name))
    assert copied.recipe == original.recipe


def _kind_changed(tree, parents, field):
    """Whether a mapping around a field has another kind than its parent's, which it then replaces."""
    for length in range(1, len(field)):
        kind = (*field[:length], "kind")
        now, before = entry_at(tree, kind), entry_at(parents, kind)
        if now is not None and before is not None and plain(now) != plain(before):
            return True
    return False


def test_a_name_that_other_families_have_too_means_the_evaluation_to_eval(tmp_path, monkeypatch):
    assert evaluation_name("tiny") == "eval/tiny"
    assert evaluation_name("eval/tiny") == "eval/tiny"
    assert evaluation_name("rlvr/tiny_grpo") == "rlvr/tiny_grpo"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").touch()
    assert evaluation_name("tiny") == "tiny"


def test_the_readme_of_the_library_links_every_folder():
    text = (LIBRARY / "README.md").read_text(encoding="utf-8")
    folders = {path.parent.relative_to(LIBRARY) for path in RECIPES.values()}
    assert [str(folder) for folder in folders if f"({folder}/README.md)" not in text] == []
