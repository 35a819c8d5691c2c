"""Which operations firelet serves."""

from support.server import ROOT

IMPLEMENTED = {
    line.split("#")[0].strip()
    for line in (ROOT / "api/implemented.txt").read_text().splitlines()
    if line.split("#")[0].strip()
}
