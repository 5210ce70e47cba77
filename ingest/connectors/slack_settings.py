"""What is said of a Slack workspace to bring in: which channels, and how far back changes are looked for."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SlackSettings(BaseModel):
    """Which channels of the token's workspace are brought in, and how far back changes are looked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: tuple[str, ...] = Field(("*",), description="patterns of channels' names, or ids, to bring in")
    exclude: tuple[str, ...] = Field((), description="patterns of channels' names, or ids, to leave out")
    direct_messages: bool = Field(False, description="bring in the direct messages that the bot is part of")
    files: bool = Field(True, description="bring in files that are shared in the channels")
    lookback_days: int = Field(7, ge=1, description="days of messages that each sync reads again for edits and replies")
    edits_within_days: float = Field(
        2, ge=0, description="days after a thread's last reply in which its replies are read again for edits"
    )
    whole_listing_hours: float = Field(24, ge=0, description="hours after which a sync reads all channels whole again")
    page_messages: int = Field(200, ge=1, le=999, description="messages or files asked for at once")
    base_url: str = Field("https://slack.com/api/", description="the Web API")
    files_url: str = Field("https://files.slack.com/", description="where files are kept; the only other host asked")
