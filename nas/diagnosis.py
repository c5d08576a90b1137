"""The figures of the mixing layers of a network as tables."""

from rich.table import Table

from searchspaces import Network, Shape
from searchspaces.diagnostics import bank_figures, mixing_figures


def diagnosis_tables(network: Network, shape: Shape) -> list[Table]:
    """The figures as tables; none for a network without such layers."""
    tables = []
    if banks := bank_figures(network):
        table = Table(title="filter banks", title_justify="left")
        for column in ("layer", "filters", "trained", "coverage", "flatness", "high freq.", "eff. rank"):
            table.add_column(column, justify="left" if column == "layer" else "right")
        for bank in banks:
            figures = [f"{x:.3f}" for x in (bank.coverage, bank.flatness, bank.high_frequency)]
            table.add_row(bank.layer, str(bank.filters), "yes" if bank.trained else "no", *figures, f"{bank.rank:.1f}")
        tables.append(table)
    if layers := mixing_figures(network, shape):
        table = Table(title="mixing layers", title_justify="left")
        for column in ("layer", "width m", "Omega", "density", "sigma max"):
            table.add_column(column, justify="left" if column == "layer" else "right")
        for layer in layers:
            sigma = ", ".join(f"{s:.2f}" for s in layer.sigma_max)
            table.add_row(layer.layer, f"{layer.width:,}", f"{layer.omega:,.0f}", f"{layer.density:.4f}", sigma)
        tables.append(table)
    return tables
