//! A house whose keys came as keys come: Ada's at the beginning, any other by invitation and under her signature. Only
//! what such a house logs is valid before an offline verifier; [`House::usual`] puts its people there past all review.

use gateway::change::Proposed;

use crate::house::{House, USUAL_AGENTS, USUAL_PEOPLE};
use crate::keys::invited;
use crate::ssh::SecurityKey;

impl House {
    /// The usual people and agents under a policy, each key signed for.
    pub(crate) async fn staffed(policy: &str) -> Self {
        let (first, others) = USUAL_PEOPLE.split_first().unwrap();
        let mut house = Self::open(policy, &[*first], &[]).await;
        // Administrators last: as long as there is no second one, Ada signs for whom she invited.
        let (admins, others): (Vec<_>, Vec<_>) =
            others.iter().partition(|(_, groups)| groups.contains(&"admins"));
        for (name, groups) in others.into_iter().chain(admins) {
            let person = house.brought(first.0, name, groups).await;
            let held = invited(&house, person, &house.passkey(name)).await.held;
            house.approve(first.0, held.id).await.unwrap();
            house.until(held.id, "finished").await;
        }
        for (name, sponsor) in USUAL_AGENTS {
            let event = house.agents_arrival(name, sponsor);
            house.change(event).await;
        }
        house
    }

    /// Somebody comes into a group: Ada proposes it, and Dan signs for it.
    pub(crate) async fn rejoins(&self, name: &str, group: &str) {
        let ada = self.human("ada").await;
        let proposed = self.gateway.propose(&ada, self.joining(name, group)).await.unwrap();
        let Proposed::Held(held) = proposed else { panic!("not held") };
        self.approve("dan", held.id).await.unwrap();
        self.until(held.id, "finished").await;
    }

    /// Somebody enrols an SSH key at their terminal, and Ada signs for it.
    pub(crate) async fn brings_ssh(&self, name: &str) {
        let key = SecurityKey { namespace: assertion::ENROLMENT_NAMESPACE.to_owned(), ..self.ssh_key(name) };
        let human = self.at_cli(name).await;
        let (enrolment, message) = self.gateway.begin_ssh_key(&human, &key.line(), "desk").await.unwrap();
        let held = self.gateway.finish_ssh_key(&human, &enrolment, &key.sign(&message.0)).await.unwrap().held;
        self.approve("ada", held.id).await.unwrap();
        self.until(held.id, "finished").await;
    }
}
