"""Commands about what there is before a study: data sets, search spaces, published networks, costs of a network."""

from __future__ import annotations

import click

from nas.cli.frame import Answer, answers, cli, may_run_plugins
from nas.errors import StoppedError


@cli.command("data")
@click.option("--download", "wanted", metavar="NAME", help="Download this data set into the folder NAS_DATA.")
@answers
def datasets(wanted: str | None) -> Answer:
    """Data sets: which exist, which are on this machine, where the others come from.

    \b
    Example: nas data
    """
    from nas.show.catalogue import data_figures, data_table

    if wanted:
        _download(wanted)
    rows = data_figures()
    return Answer(rows, lambda console: console.print(data_table(rows)))


def _download(name: str) -> None:
    from nas.errors import user_input
    from searchspaces.registry import lookup
    from trainers import DATASETS
    from trainers.downloads import DownloadError, download
    from trainers.formats.reading import data_root

    root = data_root()
    with user_input(f"--download {name}"):
        kind = lookup(DATASETS, "data set", name)
        if root is None:
            raise ValueError("NAS_DATA is not set. Set it to the folder that shall hold the data sets.")
        try:
            download(kind(str(root)), root, click.echo)
        except DownloadError as error:
            raise StoppedError(str(error)) from None


@cli.command()
@click.argument("arch", metavar="ARCH")
@click.option("--input", "shape", metavar="C,H,W", help="Shape of one image, if not that of the architecture.")
@click.option("--batch", type=click.IntRange(1, 10**6), default=1, show_default=True, help="Images in a training step.")
@click.option("--plugin", "plugins", multiple=True, help="Python file with operators of your own.")
@may_run_plugins
@answers
def cost(arch: str, shape: str | None, batch: int, plugins: tuple[str, ...]) -> Answer:
    """Parameters, MACs, FLOPs and memory of ARCH, part by part: a file, known:NAME, DIR#TRIAL or DIR#RULE.

    \b
    Example: nas cost known:convmixer_256_8 --input 3,32,32
    """
    from nas.plugins import load_plugins
    from nas.results.references import find_architecture
    from nas.show.architecture import cost_figures, cost_table

    load_plugins(plugins)
    figures = cost_figures(find_architecture(arch), shape, batch)
    return Answer(figures, lambda console: console.print(cost_table(arch, figures)))


@cli.command()
@click.argument("name", required=False)
@click.option("--input", "shape", metavar="C,H,W", default="3,32,32", show_default=True, help="Shape of one image.")
@click.option("--classes", type=click.IntRange(1), default=10, show_default=True, help="Number of classes.")
@click.option("--plugin", "plugins", multiple=True, help="Python file with spaces of your own.")
@click.option("--all", "every", is_flag=True, help="List the choices too that are searched only if a study names them.")
@answers
def spaces(name: str | None, shape: str, classes: int, plugins: tuple[str, ...], every: bool) -> Answer:
    """Search spaces, or one of them with its choices, their options, its size and an example.

    \b
    Example: nas spaces convmixer --input 1,8,8
    """
    from nas.plugins import load_plugins
    from nas.show.catalogue import space_figures, space_table, spaces_table

    load_plugins(plugins)
    found = space_figures(name, shape, classes, every=every)
    return Answer(found, lambda console: console.print(space_table(name, found[name]) if name else spaces_table(found)))


@cli.command()
@answers
def known() -> Answer:
    """Published networks that can be named as known:NAME.

    \b
    Example: nas known
    """
    from nas.show.catalogue import known_figures, known_table

    found = known_figures()
    return Answer(found, lambda console: console.print(known_table(found)))
