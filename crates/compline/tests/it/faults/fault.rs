//! What a network does to two who talk.
//!
//! | fault | held for | connections that stand | new ones |
//! |---|---|---|---|
//! | cut | 3 s | are closed | are refused |
//! | slow | 5 s | 400 ms later each way, 100 kB/s | the same |
//! | reset | 3 s | are closed | are reset with the first byte |
//! | late | 15 s | say nothing, and then all of it at once, to whomever that finds | the same |
//! | half-open | 15 s | say nothing any more, and never again what was lost | the same, until it ends |

use std::{fmt, time::Duration};

use anyhow::Result;
use serde_json::json;

use super::toxiproxy::{Proxy, Stream};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Log,
    Postgres,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Cut,
    Slow,
    Reset,
    Late,
    HalfOpen,
}

impl Fault {
    pub(super) const ALL: [Fault; 5] = [
        Fault::Cut,
        Fault::Slow,
        Fault::Reset,
        Fault::Late,
        Fault::HalfOpen,
    ];

    pub(super) const fn held(self) -> Duration {
        Duration::from_secs(match self {
            Fault::Cut | Fault::Reset => 3,
            Fault::Slow => 5,
            // Longer than the sessions of groups and the writers' statements may last.
            Fault::Late | Fault::HalfOpen => 15,
        })
    }

    pub(super) async fn begin(self, proxy: &Proxy) -> Result<()> {
        match self {
            Fault::Cut => proxy.enable(false).await,
            Fault::Slow => {
                for stream in Stream::BOTH {
                    proxy
                        .add("latency", stream, json!({"latency": 400, "jitter": 50}))
                        .await?;
                    proxy.add("bandwidth", stream, json!({"rate": 100})).await?;
                }
                Ok(())
            }
            Fault::Reset => {
                proxy
                    .add("reset_peer", Stream::Down, json!({"timeout": 0}))
                    .await
            }
            // Taken away before its time, it lets go of what it holds.
            Fault::Late => {
                for stream in Stream::BOTH {
                    let hour = json!({"latency": 3_600_000});
                    proxy.add("latency", stream, hour).await?;
                }
                Ok(())
            }
            Fault::HalfOpen => {
                for stream in Stream::BOTH {
                    proxy.add("timeout", stream, json!({"timeout": 0})).await?;
                }
                Ok(())
            }
        }
    }

    pub(super) async fn end(self, proxy: &Proxy) -> Result<()> {
        match self {
            Fault::Cut => proxy.enable(true).await,
            Fault::Slow | Fault::Reset | Fault::Late => proxy.clean().await,
            // Taken away, the toxic would close what it has silenced. Made harmless, it
            // leaves the connections: what was said meanwhile is lost, and who waits for
            // an answer to it waits for ever.
            Fault::HalfOpen => {
                for stream in Stream::BOTH {
                    proxy.disarm("timeout", stream).await?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Log => "log",
            Side::Postgres => "postgres",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Cut => "cut",
            Fault::Slow => "slow",
            Fault::Reset => "reset",
            Fault::Late => "late",
            Fault::HalfOpen => "half-open",
        })
    }
}
