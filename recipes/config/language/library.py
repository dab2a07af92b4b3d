"""Where recipes are found: your own files, and the library shipped with Quince."""

from __future__ import annotations

from pathlib import Path

from .errors import Problem, RecipeErrors, did_you_mean, one_of

LIBRARY = Path(__file__).resolve().parents[2] / "library"


def find_recipe(name_or_path: str) -> Path:
    """The file of a recipe: a path, a name in the library, or the last part of such a name."""
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path.resolve()
    if (shipped := LIBRARY / f"{name_or_path.removesuffix('.yaml')}.yaml").is_file():
        return shipped
    if path.is_dir():
        raise RecipeErrors(name_or_path, [Problem(name_or_path, "", "a folder", "a YAML file in it")])
    names = library_recipes()
    ends = [name for name in names if name.rpartition("/")[2] == name_or_path]
    if len(ends) == 1:
        return names[ends[0]]
    if ends:
        raise RecipeErrors(name_or_path, [Problem(name_or_path, "", "more than one such recipe", one_of(ends))])
    hint = did_you_mean(name_or_path, [*names, *(name.rpartition("/")[2] for name in names)])
    allowed = "a YAML file, or a name that `quince list` prints"
    raise RecipeErrors(name_or_path, [Problem(name_or_path, "", "no such recipe", allowed, hint)])


def evaluation_name(name_or_path: str) -> str:
    """What `quince eval NAME` means: the shipped evaluation of that name if there is one, though others have it too."""
    shipped = f"eval/{name_or_path.removesuffix('.yaml')}"
    return shipped if shipped in library_recipes() and not Path(name_or_path).is_file() else name_or_path


def library_recipes() -> dict[str, Path]:
    """The recipes shipped with Quince by name; folders that start with `_` hold parents only."""
    files = {path.relative_to(LIBRARY): path for path in sorted(LIBRARY.rglob("*.yaml"))}
    return {str(short.with_suffix("")): path for short, path in files.items() if short.parts[0][0] != "_"}


def recipe_name(path: Path) -> str:
    """The name a file goes by in messages and in `runs/`."""
    return str(path.relative_to(LIBRARY).with_suffix("")) if path.is_relative_to(LIBRARY) else path.stem


def find_parent(path: Path, extends: object) -> Path | None:
    """The file that `extends` in the recipe at `path` means: beside it, or in the library."""
    if not isinstance(extends, str):
        return None
    for folder in (path.parent, LIBRARY):
        for candidate in (folder / extends, folder / f"{extends}.yaml"):
            if candidate.is_file():
                return candidate.resolve()
    return None


def accelerate_config(name: str) -> Path | None:
    """The file for `accelerate launch --config_file`: a path, or a name in the library."""
    for candidate in (Path(name).expanduser(), LIBRARY / "_accelerate" / f"{name}.yaml"):
        if candidate.is_file():
            return candidate.resolve()
    return None


def copy_recipe(name_or_path: str, target: Path) -> Path:
    """Copy a recipe file; its parents stay in the library, where `extends` still finds them.

    Args:
        name_or_path: The recipe.
        target: A folder, or a file that is not there yet.

    Returns:
        The new file.

    Raises:
        RecipeErrors: If the file is there already.
    """
    source = find_recipe(name_or_path)
    file = target if target.suffix in (".yaml", ".yml") else target / source.name
    if file.exists():
        raise RecipeErrors(str(file), [Problem(str(file), "", "the file exists", "another name or folder")])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_with_library_parent(source), encoding="utf-8")
    return file


def _with_library_parent(source: Path) -> str:
    """The text of a recipe with `extends` as a name in the library instead of a path beside the file."""
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    for index, line in enumerate(lines):
        key, colon, value = line.partition(":")
        if key == "extends" and colon:
            parent = find_parent(source, value.strip())
            if parent is not None and parent.is_relative_to(LIBRARY):
                lines[index] = f"extends: {parent.relative_to(LIBRARY).as_posix()}\n"
    return "".join(lines)
