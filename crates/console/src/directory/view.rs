//! The directory as pages: tables that anybody signed in may read, and forms for administrators.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::digest::Blob;
use domain::directory::{Agent, Person};
use domain::principal::Principal;
use gateway::card::{Shown, name_of};
use maud::{Markup, html};

use super::{Look, RuleRow};
use crate::words;

/// The people.
pub(crate) fn people(look: &Look<'_>) -> Markup {
    let admin = look.viewer.admin;
    html! {
        h1 { "People" }
        (how_changes_go(look))
        div.table {
            table {
                thead { tr { th { "Name" } th { "Groups" } th { "Keys" } th { "Since" } @if admin { th { span.visually-hidden { "Changes" } } } } }
                tbody { @for person in look.directory.people() { (person_row(person, look)) } }
            }
        }
        section.form-block {
            h2 { "Your passkeys" }
            p.dim { "A second passkey, on another device, keeps you from being locked out." }
            form data-passkey {
                label for="key-label" { "What do you call the device?" }
                input id="key-label" name="label" type="text" required maxlength="64" autocomplete="off";
                button type="submit" { "Add a passkey" }
            }
        }
        @if admin {
            section.form-block {
                h2 { "Add a person" }
                form data-method="POST" data-path="/v1/people" {
                    label for="person-name" { "Name" }
                    input id="person-name" name="name" type="text" required maxlength="128" autocomplete="off";
                    button.primary type="submit" { "Add" }
                }
            }
        }
    }
}

fn person_row(person: &Person, look: &Look<'_>) -> Markup {
    let admin = look.viewer.admin && person.active;
    html! {
        tr data-inactive[!person.active] {
            td { strong { (words::outside(&person.name)) } @if !person.active { " " span.chip data-tone="plain" { "left" } } }
            td data-label="Groups" { div {
                @for group in &person.groups {
                    span.group {
                        (group)
                        @if admin {
                            form.inline data-method="DELETE" data-path={ "/v1/groups/" (group) "/members/" (person.id) } {
                                button.quiet type="submit" aria-label={ "Take " (person.name) " out of " (group) } { "×" }
                            }
                        }
                    }
                    " "
                }
                @if person.groups.is_empty() { span.dim { "none" } }
            } }
            td data-label="Keys" { div {
                @for key in &person.keys { (key_chip(person, &key.label, &key.fingerprint(), &key.credential_id, look)) }
                @for key in &person.ssh_keys { (key_chip(person, &format!("{} (SSH)", key.label), &key.fingerprint(), &key.id(), look)) }
                @if person.keys.is_empty() && person.active { span.chip data-tone="ask" { "none yet" } }
            } }
            td.dim data-label="Since" { (words::ago(person.since, look.now)) }
            @if look.viewer.admin {
                td { div.acts {
                    @if admin {
                        @if person.keys.is_empty() {
                            form.inline data-method="POST" data-path={ "/v1/people/" (person.id) "/invite" } data-shows="url" {
                                button type="submit" { "Invite link" }
                            }
                        }
                        form.inline data-group-of=(person.id) {
                            label.visually-hidden for={ "g-" (person.id) } { "Group for " (person.name) }
                            input id={ "g-" (person.id) } name="group" type="text" required pattern="[a-z0-9._\\-]{1,64}" placeholder="group" size="10" autocomplete="off";
                            button type="submit" { "Add to group" }
                        }
                        form.inline data-method="DELETE" data-path={ "/v1/people/" (person.id) }
                            data-confirm={ "Deactivate " (person.name) "? Sessions end at once, and their keys sign no more." } {
                            button type="submit" { "Deactivate" }
                        }
                    }
                } }
            }
        }
    }
}

/// A key, with the way to revoke it for whoever may. An administrator signs for somebody else's, and has a way beside it
/// for what cannot wait for that.
fn key_chip(person: &Person, label: &str, fingerprint: &str, id: &Blob, look: &Look<'_>) -> Markup {
    let own = look.viewer.person == person.id;
    let path = format!("/v1/people/{}/keys/{}", person.id, URL_SAFE_NO_PAD.encode(&id.0));
    html! {
        span.group title=(fingerprint) {
            (words::outside(label))
            @if person.active && own {
                (revoke(&path, ("×", "Revoke the key"), (label, &person.name), "It signs no more, at once."))
            } @else if person.active && look.viewer.admin {
                (revoke(&path, ("×", "Revoke the key"), (label, &person.name), "You sign for that, and then it signs no more."))
                (revoke(
                    &format!("{path}?at_once=true"),
                    ("!", "Revoke at once, unsigned, the key"),
                    (label, &person.name),
                    "It signs no more, at once. Nobody signs for that, and the record says so.",
                ))
            }
        }
        " "
    }
}

fn revoke(path: &str, (sign, what): (&str, &str), (label, name): (&str, &str), then: &str) -> Markup {
    html! {
        form.inline data-method="DELETE" data-path=(path) data-opens="request"
            data-confirm={ (what) " " (label) " of " (name) "? " (then) } {
            button.quiet type="submit" aria-label={ (what) " " (label) " of " (name) } { (sign) }
        }
    }
}

/// The agents.
pub(crate) fn agents(look: &Look<'_>) -> Markup {
    let sponsors: Vec<&Person> = look.directory.active_people().collect();
    html! {
        h1 { "Agents" }
        p.lead { "Programs with a key of their own and a human who answers for them. No agent can ever review." }
        (how_changes_go(look))
        @if look.directory.agents().next().is_none() {
            section.empty { h2 { "No agents yet" } p { code { "countersign agent new <name> --sponsor <person>" } " makes an agent's key, keeps its secret half where you are, and proposes the agent." } }
        } @else {
            div.table { table {
                thead { tr { th { "Name" } th { "Sponsor" } th { "Id" } th { "Since" } @if look.viewer.admin { th { span.visually-hidden { "Changes" } } } } }
                tbody { @for agent in look.directory.agents() { (agent_row(agent, look)) } }
            } }
        }
        @if look.viewer.admin {
            section.form-block {
                h2 { "Add an agent" }
                form data-method="POST" data-path="/v1/agents" {
                    label for="agent-name" { "Name" }
                    input id="agent-name" name="name" type="text" required maxlength="128" autocomplete="off";
                    label for="agent-sponsor" { "Sponsor" }
                    select id="agent-sponsor" name="sponsor" required {
                        @for person in &sponsors { option value=(person.id) { (person.name) } }
                    }
                    label for="agent-key" { "Public key " span.dim { "(Ed25519, base64url)" } }
                    input id="agent-key" name="key" type="text" required minlength="43" maxlength="44" autocomplete="off" spellcheck="false";
                    button.primary type="submit" { "Add" }
                }
            }
        }
    }
}

fn agent_row(agent: &Agent, look: &Look<'_>) -> Markup {
    html! {
        tr data-inactive[!agent.active] {
            td { strong { (words::outside(&agent.name)) } @if !agent.active { " " span.chip data-tone="plain" { "disabled" } } }
            td data-label="Sponsor" { (words::outside(&name_of(Principal::Person(agent.sponsor), look.directory))) }
            td data-label="Id" { code.fine { (agent.id) } }
            td.dim data-label="Since" { (words::ago(agent.since, look.now)) }
            @if look.viewer.admin {
                td { div.acts { @if agent.active {
                    form.inline data-method="DELETE" data-path={ "/v1/agents/" (agent.id) } data-confirm={ "Disable the agent " (agent.name) "?" } {
                        button type="submit" { "Disable" }
                    }
                } } }
            }
        }
    }
}

/// The routes.
pub(crate) fn routes(look: &Look<'_>) -> Markup {
    html! {
        h1 { "Routes" }
        p.lead { "Which requests go where, and what they mean. A route that changes makes other actions of the same requests." }
        (how_changes_go(look))
        @if look.directory.routes().next().is_none() {
            section.empty { h2 { "No routes yet" } p { "Write one in TOML and apply it: " code { "countersign route set <file>" } "." } }
        }
        @for (name, route) in look.directory.routes() {
            details.document {
                summary { strong { (name) } " " span.dim { "definition " code { (route.definition.short()) } } }
                pre.block tabindex="0" { (words::pieces(&Shown::new(&laid_out(&route.text)))) }
            }
        }
        @if look.viewer.admin { p.dim { "Routes are changed with " code { "countersign route set" } ", which checks them first." } }
    }
}

fn laid_out(document: &str) -> String {
    domain::canonical::read_value(document.as_bytes())
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| document.to_owned())
}

/// The policy.
pub(crate) fn policy(look: &Look<'_>, rules: &[RuleRow]) -> Markup {
    let stands = look.directory.policy();
    html! {
        h1 { "Policy" }
        @match stands {
            Some(policy) => { p.lead { "Decides since " (words::ago(policy.since, look.now)) ". " span.dim { "Text " code { (policy.digest.short()) } } } },
            None => { p.banner data-tone="ask" { strong { "No policy stands yet. " } "Until one is applied, everything is denied." } },
        }
        (how_changes_go(look))
        @if !rules.is_empty() {
            div.table { table {
                thead { tr { th { "Rule" } th { "Does" } th { "Why" } } }
                tbody { @for rule in rules {
                    tr data-inactive[rule.shadow] {
                        td { code { (rule.id) } @if rule.built_in { " " span.chip data-tone="plain" { "built in" } } @if rule.shadow { " " span.chip data-tone="plain" { "only watches" } } }
                        td data-label="Does" { (rule.does) }
                        td data-label="Why" { (words::outside(&rule.why)) }
                    }
                } }
            } }
        }
        @if let Some(policy) = stands {
            h2 { "Its text" }
            pre.block.numbered tabindex="0" { @for line in policy.text.lines() { span.line { (words::pieces(&Shown::new(line))) "\n" } } }
        }
        @if look.viewer.admin {
            section.form-block {
                h2 { "Propose another" }
                form data-method="PUT" data-path="/v1/policy" {
                    label for="policy-text" { "Cedar, with holds as annotated forbids" }
                    textarea.mono id="policy-text" name="text" rows="16" required spellcheck="false" { (stands.map(|policy| policy.text.as_str()).unwrap_or_default()) }
                    button.primary type="submit" { "Propose" }
                }
            }
        }
    }
}

fn how_changes_go(look: &Look<'_>) -> Markup {
    html! {
        @if !look.viewer.admin {
            p.dim { "You see how things stand. Members of " code { "admins" } " change them." }
        } @else if look.reviewed {
            p.dim { "What you change here is proposed; another administrator reviews it in the inbox." }
        } @else {
            p.banner data-tone="ask" { "There is no second administrator with a passkey yet: what you change stands at once, and the log says that nobody reviewed it. A key waits for your own signature." }
        }
    }
}
