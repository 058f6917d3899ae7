//! What a reader has seen.

use compline_activity::view;
use compline_api::{
    command::{
        MarkReadRequest, MarkReadResponse, notification_service_server::NotificationService,
    },
    error::not_found,
    name::Collection,
};
use compline_event::{Event, Topic, activity_events::NotificationRead, timestamp};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    check::{self, Fields},
    command::Command,
    commands::Commands,
    refuse,
    token::positions,
};

#[derive(Debug)]
pub(crate) struct Notifications(pub(crate) Commands);

#[async_trait]
impl NotificationService for Notifications {
    /// Any role may: it is the caller's own state. There is nothing to decide, so
    /// the answer comes as soon as the log has it.
    async fn mark_read(
        &self,
        request: Request<MarkReadRequest>,
    ) -> Result<Response<MarkReadResponse>, Status> {
        let caller = check::member(&request)?;
        let body = request.into_inner();
        let mut fields = Fields::default();
        let (Some(request_id), Some(id)) = (
            fields.request_id(&body.request_id),
            fields.name(Collection::Notifications, &body.name),
        ) else {
            return Err(fields.refuse());
        };
        let name = Collection::Notifications.name(&id);
        let mut snapshot = self.0.activity(caller.tenant).await?;
        let read = snapshot
            .read(async |conn| view::is_read(conn, &id, &caller.subject).await)
            .await;
        let is_read = read.map_err(refuse::database)?;
        if is_read.ok_or_else(|| not_found(&name))? {
            let seen = snapshot.seen().position.positions();
            let of_topic = seen.filter(|position| position.topic == Topic::Activity);
            return Ok(Response::new(MarkReadResponse {
                token: positions(&of_topic.collect()),
            }));
        }
        drop(snapshot);

        let token = self
            .0
            .tell(Command {
                tenant: caller.tenant,
                // Another reader's read is another event.
                entity: format!("{name}/readers/{}", caller.subject),
                actor: caller.subject.clone(),
                request_id,
                expected_version: None,
                event: Event::NotificationRead(NotificationRead {
                    notification_id: id,
                    reader: caller.subject,
                    read_at: Some(timestamp::to_proto(self.0.now())),
                }),
            })
            .await?;
        Ok(Response::new(MarkReadResponse {
            token: positions(&token),
        }))
    }
}
