//! What all commands have in common: is it known, append it, wait for the verdict.

use std::{future, panic, slice, sync::Arc, time::Duration};

use compline_event::{Position, RecordId, TenantId, Token};
use compline_eventlog::{AppendError, Appender};
use compline_readmodel::{Reader, Snapshot, Want};
use compline_tenancy::{Outcome, Request, view};
use time::OffsetDateTime;
use tokio::time::Instant;
use tonic::Status;

use crate::{
    command::{Command, Record},
    failure::Failure,
    metric, refuse,
};

/// Gives the time of recording.
pub type Clock = fn() -> OffsetDateTime;

/// What the services work with.
#[derive(Clone, Debug)]
pub struct Commands(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    appender: Appender,
    failure: Failure,
    tenancy: Reader,
    activity: Reader,
    clock: Clock,
    verdict_wait: Duration,
}

/// What was commanded holds, and a snapshot in which it does.
pub(crate) struct Done {
    pub(crate) snapshot: Snapshot,
    /// What a read must have seen to see it.
    pub(crate) token: Token,
    /// It held before: nothing was appended.
    pub(crate) unchanged: bool,
}

/// What is known of commands before they are appended.
pub(crate) enum Before {
    /// An earlier call with the same request ids did it.
    Done(Done),
    /// Not all of them; the snapshot is for further checks.
    New(Snapshot),
}

impl Commands {
    /// `tenancy` and `activity` read those projections; a verdict is waited for at
    /// most `verdict_wait`.
    pub fn new(
        appender: Appender,
        tenancy: Reader,
        activity: Reader,
        clock: Clock,
        verdict_wait: Duration,
    ) -> Self {
        Self(Arc::new(Shared {
            appender,
            failure: Failure::default(),
            tenancy,
            activity,
            clock,
            verdict_wait,
        }))
    }

    /// The end of the appender.
    pub(crate) fn failure(&self) -> &Failure {
        &self.0.failure
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        (self.0.clock)()
    }

    /// A read of the projection `activity`.
    pub(crate) async fn activity(&self, tenant: TenantId) -> Result<Snapshot, Status> {
        let snapshot = self.0.activity.snapshot(tenant, &Want::now()).await;
        snapshot.map_err(refuse::unreadable)
    }

    /// Whether an earlier call with the same request ids has decided them.
    /// `commands` are of one tenant.
    ///
    /// # Errors
    /// ABORTED when the verdict was stale, INVALID_ARGUMENT when a request id was
    /// another command's.
    pub(crate) async fn before(&self, commands: &[Command]) -> Result<Before, Status> {
        let tenant = tenant_of(commands);
        let snapshot = self.0.tenancy.snapshot(tenant, &Want::now()).await;
        let mut snapshot = snapshot.map_err(refuse::unreadable)?;
        let mut token = Token::default();
        for command in commands {
            let Some(request) = request_of(&mut snapshot, command).await? else {
                return Ok(Before::New(snapshot));
            };
            token.include(judge(command, &request)?);
            count(command, "repeated");
        }
        Ok(Before::Done(Done {
            snapshot,
            token,
            unchanged: false,
        }))
    }

    /// Carries `command` out, unless an earlier call did, or what it asks for holds:
    /// `holds` looks, and gives the version of the entity at which it does. When the
    /// command expects another one, the log decides.
    pub(crate) async fn bring_about(
        &self,
        command: Command,
        holds: impl AsyncFnOnce(&mut Snapshot) -> Result<Option<u64>, Status>,
    ) -> Result<Done, Status> {
        let mut snapshot = match self.before(slice::from_ref(&command)).await? {
            Before::Done(done) => return Ok(done),
            Before::New(snapshot) => snapshot,
        };
        let expected = command.expected_version;
        match holds(&mut snapshot).await? {
            Some(version) if expected.is_none_or(|expected| expected == version) => {
                count(&command, "unchanged");
                Ok(command.unchanged(snapshot))
            }
            _ => {
                drop(snapshot);
                self.carry_out(vec![command]).await
            }
        }
    }

    /// Appends `commands`, which are of one tenant and one key, and waits until the
    /// projection has decided over them.
    pub(crate) async fn carry_out(&self, commands: Vec<Command>) -> Result<Done, Status> {
        let appended = self.append(&commands).await;
        let appended = appended.map_err(|error| refuse::not_appended(&error))?;
        let acknowledged = Instant::now();

        let want = Want::at_least(
            appended.iter().copied().map(after).collect(),
            self.0.verdict_wait,
        );
        let snapshot = self.0.tenancy.snapshot(tenant_of(&commands), &want).await;
        let mut snapshot = snapshot.map_err(|error| refuse::no_verdict(&want.token, error))?;

        let mut token = Token::default();
        for (command, at) in commands.iter().zip(appended) {
            let Some(request) = request_of(&mut snapshot, command).await? else {
                return Err(refuse::parked(&snapshot.seen().parked_keys));
            };
            count(
                command,
                match request.at == at {
                    true => request.outcome.as_str(),
                    false => "repeated",
                },
            );
            token.include(judge(command, &request)?);
        }
        let waited = acknowledged.elapsed();
        for command in &commands {
            let of = command.event.type_name();
            metrics::histogram!(metric::VERDICT_SECONDS, "type" => of).record(waited);
        }
        Ok(Done {
            snapshot,
            token,
            unchanged: false,
        })
    }

    /// Appends an event of which nobody decides anything.
    pub(crate) async fn tell(&self, command: Command) -> Result<Token, Status> {
        let appended = self.append(&[command]).await;
        let appended = appended.map_err(|error| refuse::not_appended(&error))?;
        Ok(appended.into_iter().map(after).collect())
    }

    /// In the order given. A full queue makes a hand-over wait, and a caller who
    /// leaves meanwhile must not part them: so it is a task of its own, which goes
    /// on without the caller.
    async fn append(&self, commands: &[Command]) -> Result<Vec<RecordId>, AppendError> {
        let now = self.now();
        let records = commands.iter().map(|command| command.record(now)).collect();
        let shared = Arc::clone(&self.0);
        let appending = tokio::spawn(async move { shared.append(records).await });
        match appending.await {
            Ok(appended) => appended,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                // Nobody aborts it: the runtime ends, and this call with it.
                Err(_) => future::pending().await,
            },
        }
    }
}

impl Shared {
    async fn append(&self, records: Vec<Record>) -> Result<Vec<RecordId>, AppendError> {
        let appended = self.hand_over(records).await;
        if let Err(error @ AppendError::Fatal { .. }) = &appended {
            self.failure.happen(error.to_string());
        }
        appended
    }

    /// All are handed over before the first is waited for.
    async fn hand_over(&self, records: Vec<Record>) -> Result<Vec<RecordId>, AppendError> {
        let mut deliveries = Vec::with_capacity(records.len());
        for (topic, key, envelope) in records {
            let delivery = self.appender.enqueue(topic, None, key, &envelope).await?;
            deliveries.push(delivery);
        }
        let mut appended = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            appended.push(delivery.await?);
        }
        Ok(appended)
    }
}

async fn request_of(snapshot: &mut Snapshot, command: &Command) -> Result<Option<Request>, Status> {
    snapshot
        .read(async |conn| view::request(conn, &command.entity, command.request_id).await)
        .await
        .map_err(refuse::database)
}

/// Where an effective command stands.
fn judge(command: &Command, request: &Request) -> Result<Position, Status> {
    if request.event_type != command.event.type_name() {
        return Err(refuse::used_by_another(&request.event_type));
    }
    match request.outcome {
        Outcome::Effective => Ok(after(request.at)),
        Outcome::Stale => Err(refuse::stale(command, request.version)),
        Outcome::LastAdmin => Err(refuse::last_admin(command)),
    }
}

fn after(at: RecordId) -> Position {
    Position {
        topic: at.topic,
        partition: at.partition,
        next_offset: at.offset.next(),
    }
}

fn tenant_of(commands: &[Command]) -> TenantId {
    commands
        .first()
        .expect("a call has at least one command")
        .tenant
}

fn count(command: &Command, outcome: &'static str) {
    let of = command.event.type_name();
    metrics::counter!(metric::COMMANDS, "type" => of, "outcome" => outcome).increment(1);
}
