"""`python -m deploy.grafana [--language en,zh] [--currency CNY] [--out DIR]`: writes every dashboard's JSON."""

from __future__ import annotations

import argparse
from pathlib import Path

from deploy.grafana.build import written
from deploy.grafana.words import Language

HERE = Path(__file__).parent


def main() -> None:
    """Write into DIR/LANGUAGE/."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana", description=__doc__)
    parser.add_argument("--language", choices=[*Language], help="only this one (default: all)")
    parser.add_argument("--currency", default="CNY", metavar="CODE", help="as the setting `currency` (CNY)")
    parser.add_argument("--out", type=Path, default=HERE / "dashboards", help="folder (deploy/grafana/dashboards)")
    asked = parser.parse_args()
    for language in [Language(asked.language)] if asked.language else Language:
        for name, text in written(language, asked.currency).items():
            path = asked.out / language / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main()
