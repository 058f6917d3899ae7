//! Two relays, of which one leads.

use super::{Action, Engine, Relay, UNDER_WAY, World};
use crate::{guard::Guard, reader::Output};

impl Engine {
    pub(super) fn relay(&self, world: &mut World, action: &Action) -> Option<()> {
        let (Action::Lead(number)
        | Action::Enqueue(number)
        | Action::Land(number)
        | Action::Acknowledge(number)
        | Action::Forget(number)
        | Action::Depose(number)
        | Action::TimeOut(number)
        | Action::Crash(number)) = *action
        else {
            return None;
        };
        let producer = self.producer_of(number);
        let relay = &mut world.relays[number];
        let leader = &mut world.leader[producer];
        let epoch = &mut world.relay_epoch[producer];
        let leads = *leader == Some(number);
        match action {
            Action::Lead(_) => {
                if leader.is_some() || !relay.under_way.is_empty() {
                    return None;
                }
                *leader = Some(number);
                *epoch = number;
                *relay = Relay::default();
            }
            Action::Enqueue(_) => {
                let last = relay
                    .under_way
                    .last()
                    .map_or(relay.acknowledged, |it| it.number);
                let mut next = world.outbox.iter();
                let next = next.find(|it| it.producer == producer && it.number > last)?;
                if !leads || relay.under_way.len() == UNDER_WAY {
                    return None;
                }
                relay.under_way.push(*next);
            }
            // Idempotent: a retry lands once, and in order.
            Action::Land(_) => {
                let output = *relay.under_way.get(relay.landed)?;
                relay.landed += 1;
                world.append(output);
            }
            Action::Acknowledge(_) => {
                relay.landed = relay.landed.checked_sub(1)?;
                relay.acknowledged = relay.under_way.remove(0).number;
            }
            Action::Forget(_) => {
                let outputs = world.outbox.len();
                let is_new =
                    |it: &Output| it.producer != producer || it.number > relay.acknowledged;
                world.outbox.retain(is_new);
                if *epoch != number || world.outbox.len() == outputs {
                    return None;
                }
            }
            Action::Depose(_) => {
                *leader = leader.filter(|it| *it != number);
                if !leads {
                    return None;
                }
            }
            // Given up is the first one that has not landed; those behind it go on.
            Action::TimeOut(_) => {
                if self.guards.hold(Guard::NoTimeout) || relay.under_way.len() <= relay.landed {
                    return None;
                }
                relay.under_way.remove(relay.landed);
                *leader = leader.filter(|it| *it != number);
            }
            _ => {
                *relay = Relay::default();
                *leader = leader.filter(|it| *it != number);
            }
        }
        Some(())
    }
}
