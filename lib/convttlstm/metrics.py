"""The metrics of predicted frames: names, scales and units for tables, figures and claims."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        key: its name in metrics.json, per_frame.csv and per_sequence.csv.
        symbol: its short name.
        scale: factor in tables and figures.
        lower: whether lower is better.
        unit: its unit, "" if it has none.
        protocol: "paper" or "standard"; "" if it is the same by both.
        printed: its column in the paper's tables, without the horizon; "" if the paper has none.
    """

    key: str
    symbol: str
    scale: float = 1
    lower: bool = False
    unit: str = ""
    protocol: str = ""
    printed: str = ""

    @property
    def column(self) -> str:
        """Its column in the tables' CSV files, without the horizon."""
        return f"{self.key}_x1e3" if self.scale == 1e3 else self.key

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1."""
        return -1 if self.lower else 1

    @property
    def arrow(self) -> str:
        """The heading of its column: symbol, and an arrow for the better direction."""
        return f"{self.symbol} {'↓' if self.lower else '↑'}"

    @property
    def scaled(self) -> str:
        """The symbol with its scale, or after its unit."""
        return f"{self.symbol} x 1000" if self.scale == 1e3 else f"{self.unit} {self.symbol}".strip()

    @property
    def name(self) -> str:
        """The symbol with scale, unit and protocol, such as "LPIPS x 1000, paper protocol"."""
        scaled = f"{self.symbol}{' x 1000' if self.scale == 1e3 else ''}"
        return ", ".join([scaled, *filter(None, [self.unit, self.protocol and f"{self.protocol} protocol"])])

    @property
    def title(self) -> str:
        """The title of a figure's panel."""
        details = [f"{self.protocol} protocol"] if self.protocol else []
        details += ["x 1000"] if self.scale == 1e3 else []
        details += [self.unit] if self.unit else []
        stated = f" ({', '.join(details)})" if details else ""
        return f"{self.symbol}{stated}, {'lower' if self.lower else 'higher'} is better"


METRICS = {
    metric.key: metric
    for metric in (
        Metric("mse", "MSE", 1e3, lower=True, printed="mse"),
        Metric("psnr", "PSNR", unit="dB", printed="psnr"),
        Metric("ssim_paper", "SSIM", protocol="paper", printed="ssim"),
        Metric("ssim_standard", "SSIM", protocol="standard"),
        Metric("lpips_paper", "LPIPS", 1e3, lower=True, protocol="paper", printed="lpips"),
        Metric("lpips_standard", "LPIPS", 1e3, lower=True, protocol="standard"),
    )
}
