//! The domain: one aggregate, one command, one event, one view.

use cqrs_es::{Aggregate, DomainEvent, EventEnvelope, View, event_sink::EventSink};
use serde::{Deserialize, Serialize};

/// As a line of the commands' file has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeStatus {
    pub tenant_id: String,
    pub ad_id: String,
    pub ad_account_id: String,
    pub level: String,
    pub status: String,
    pub reason: String,
    pub placements: Vec<String>,
    pub changed_at: String,
    pub recorded_at: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AdEvent {
    StatusChanged {
        old_status: String,
        told: ChangeStatus,
    },
}

impl DomainEvent for AdEvent {
    fn event_type(&self) -> String {
        "StatusChanged".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Ad {
    status: String,
}

#[derive(Debug, thiserror::Error)]
#[error("an ad refuses nothing")]
pub struct Never;

impl Aggregate for Ad {
    const TYPE: &'static str = "ad";
    type Command = ChangeStatus;
    type Event = AdEvent;
    type Error = Never;
    type Services = ();

    async fn handle(
        &mut self,
        told: ChangeStatus,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Never> {
        let old_status = self.status.clone();
        sink.write(AdEvent::StatusChanged { old_status, told }, self)
            .await;
        Ok(())
    }

    fn apply(&mut self, event: AdEvent) {
        let AdEvent::StatusChanged { told, .. } = event;
        self.status = told.status;
    }
}

/// What an ad is doing now: the columns of our table `ad`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct AdRow {
    tenant_id: String,
    ad_id: String,
    ad_account_id: String,
    level: String,
    status: String,
    old_status: String,
    reason: String,
    placements: Vec<String>,
    status_changed_at: String,
    updated_at: String,
    version: i64,
}

impl View<Ad> for AdRow {
    fn update(&mut self, event: &EventEnvelope<Ad>) {
        let AdEvent::StatusChanged { old_status, told } = event.payload.clone();
        *self = AdRow {
            tenant_id: told.tenant_id,
            ad_id: told.ad_id,
            ad_account_id: told.ad_account_id,
            level: told.level,
            status: told.status,
            old_status,
            reason: told.reason,
            placements: told.placements,
            status_changed_at: told.changed_at,
            updated_at: told.recorded_at,
            version: self.version + 1,
        };
    }
}
