"""A console script of a src-layout package; `--version` comes from the installed metadata."""

from importlib.metadata import version

import click


@click.command()
@click.version_option(version("greet"))
@click.argument("name", default="world")
def main(name: str) -> None:
    click.echo(f"hello, {name}")
