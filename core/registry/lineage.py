"""Where weights come from."""

from core.errors import NotFound
from core.store import Store
from core.store.tables import Checkpoint


def lineage(store: Store, checkpoint_id: str) -> list[Checkpoint]:
    """A checkpoint, its parent, and so on back to the baseline.

    Raises:
        NotFound: If there is no such checkpoint.
    """
    found: list[Checkpoint] = []
    with store.database.read() as session:
        wanted: str | None = checkpoint_id
        while wanted is not None:
            row = session.get(Checkpoint, wanted)
            if row is None:
                raise NotFound(f"There is no checkpoint {wanted}.")
            found.append(row)
            wanted = row.parent_id
    return found
