"""Looking for what another process is making."""

from pathlib import Path


def there(folder: Path, pattern: str) -> list[Path]:
    """What matches by now. A folder may be made, tried and gone again while this looks into it."""
    try:
        return list(folder.glob(pattern))
    except FileNotFoundError:
        return []
