"""Who may call."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from core.store.tables.base import Base, one_of, utc_now


class ApiKey(Base):
    """A caller's key: only its sha256 is kept. `last_used_at` is right to a minute."""

    __tablename__ = "api_key"
    __table_args__ = (one_of("scope", ("feed", "operate", "admin")),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    scope: Mapped[str]
    key_sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
