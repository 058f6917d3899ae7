//! What members of groups ask, and those who look at what they committed.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::about::About;
use super::clients::{Member, Standing};
use super::model::Place;
use super::net::Ask;
use super::requests as ask;
use super::world::{GROUPS, LONERS, World};

impl World {
    pub(super) fn commit(&mut self) -> Option<Ask> {
        let place = self.place()?;
        let group = self.rng.random_range(0..GROUPS + LONERS);
        let member = match self.members.get(group) {
            Some(members) => {
                let member = members.choose(&mut self.rng)?;
                Some((member.id.clone(), member.generation()?))
            }
            None => None,
        };
        let versions = self.model.committed(group, place);
        let offset = versions.next();
        let version = versions.send(Some(offset));
        let latest = self.model.generations.get(&group).copied();
        let about = About::Commit {
            group,
            place,
            version,
            is_stale: member.as_ref().is_some_and(|(_, own)| latest > Some(*own)),
        };
        let member = member.as_ref().map(|(id, generation)| (&**id, *generation));
        let body = ask::commit(group, member, (self.name(place), place.partition, offset));
        Some(Ask::new(about, &body, ask::COMMIT))
    }

    pub(super) fn fetch_offsets(&mut self) -> Ask {
        let group = self.rng.random_range(0..GROUPS + LONERS);
        self.fetch_offsets_of(group)
    }

    pub(super) fn fetch_offsets_of(&mut self, group: usize) -> Ask {
        let present = self.model.topics.iter().filter_map(|topic| topic.present);
        let present: Vec<_> = present.collect();
        let mut floors = Vec::new();
        for incarnation in present {
            for partition in 0..self.plan.partitions {
                let place = Place {
                    incarnation,
                    partition,
                };
                floors.push((place, self.model.committed(group, place).floor()));
            }
        }
        let wanted: Vec<_> = floors
            .iter()
            .map(|(place, _)| (self.name(*place), place.partition))
            .collect();
        let body = ask::fetch_offsets(group, &wanted);
        Ask::new(
            About::FetchOffsets { group, floors },
            &body,
            ask::FETCH_OFFSETS,
        )
    }

    pub(super) fn forget_offsets(&mut self) -> Option<Ask> {
        let place = self.place()?;
        let group = self.rng.random_range(0..GROUPS + LONERS);
        let version = self.model.committed(group, place).send(None);
        let about = About::ForgetOffsets {
            group,
            place,
            version,
        };
        let body = ask::forget_offsets(group, self.name(place), place.partition);
        Some(Ask::new(about, &body, ask::FORGET_OFFSETS))
    }

    fn member(&mut self) -> (usize, usize) {
        let group = self.rng.random_range(0..GROUPS);
        (group, self.rng.random_range(0..self.members[group].len()))
    }

    /// Somebody joins a group, or goes on with joining it.
    pub(super) fn join(&mut self) -> Option<Ask> {
        let (group, member) = self.member();
        let Member { id, standing } = self.members[group][member].clone();
        match standing {
            Standing::Asking => None,
            Standing::Outside | Standing::In { .. } => {
                self.members[group][member].standing = Standing::Asking;
                let body = ask::join(group, &id);
                Some(Ask::new(About::Join { group, member }, &body, ask::JOIN))
            }
            Standing::Joined {
                generation,
                members,
            } => {
                self.members[group][member].standing = Standing::Asking;
                let about = About::SyncGroup {
                    group,
                    member,
                    generation,
                };
                let body = ask::sync_group(group, &id, generation, &members);
                Some(Ask::new(about, &body, ask::SYNC_GROUP))
            }
        }
    }

    pub(super) fn heartbeat(&mut self) -> Option<Ask> {
        let (group, member) = self.member();
        let known = &self.members[group][member];
        let body = ask::heartbeat(group, &known.id, known.generation()?);
        Some(Ask::new(
            About::Heartbeat { group, member },
            &body,
            ask::HEARTBEAT,
        ))
    }

    pub(super) fn leave(&mut self) -> Option<Ask> {
        let (group, member) = self.member();
        let known = std::mem::take(&mut self.members[group][member]);
        if known.standing == Standing::Asking {
            self.members[group][member] = known;
            return None;
        }
        let body = ask::leave(group, &known.id);
        Some(Ask::new(About::Leave { group }, &body, ask::LEAVE))
    }
}
