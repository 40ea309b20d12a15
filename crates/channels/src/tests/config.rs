//! What the configuration may say, and what it may not.

use std::sync::Arc;

use async_trait::async_trait;
use domain::account::ExternalAccount;
use domain::id::ActionId;

use crate::card::Card;
use crate::click::{Answer, Click, Clicks};
use crate::config::ChannelsConfig;

/// Takes no click.
struct Nobody;

#[async_trait]
impl Clicks for Nobody {
    async fn click(&self, _: Click) -> Answer {
        Answer::refused("nobody", "")
    }
    async fn look(&self, _: &ExternalAccount, _: ActionId) -> Result<Card, Answer> {
        Err(Answer::refused("nobody", ""))
    }
    async fn inbox(&self, _: &ExternalAccount) -> Result<Vec<Card>, Answer> {
        Err(Answer::refused("nobody", ""))
    }
    async fn begin_link(&self, _: &ExternalAccount, _: &str) -> Answer {
        Answer::refused("nobody", "")
    }
    async fn finish_link(&self, _: &ExternalAccount, _: &str) -> Answer {
        Answer::refused("nobody", "")
    }
    async fn unlink(&self, _: &ExternalAccount) -> Answer {
        Answer::refused("nobody", "")
    }
}

const EMAIL: &str = "[email]\nhost = 'localhost'\nsecurity = 'none'\nfrom = 'Countersign <cs@example.com>'\n";

fn built(text: &str) -> Result<Vec<String>, String> {
    let config: ChannelsConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let clicks: Arc<dyn Clicks> = Arc::new(Nobody);
    let fitted = config.build(&clicks).map_err(|error| error.to_string())?;
    Ok(fitted.iter().map(|fitted| fitted.channel.name().to_string()).collect())
}

#[test]
fn what_may_be_is_built() {
    assert_eq!(built("").unwrap(), Vec::<String>::new());
    assert_eq!(built(EMAIL).unwrap(), ["email"]);
    let routes = "[[routes]]\ngroup = 'dba'\nenvironment = 'prod'\nchannel = 'email'\nto = 'dba@example.com'\n\
                  [[routes]]\nchannel = 'email'\nto = 'people'\nafter = 600\nremind = 900\nreminders = 3\nshows = 'command'\n";
    assert_eq!(built(&format!("time_zone = 'Europe/Berlin'\n{EMAIL}{routes}")).unwrap(), ["email"]);
}

#[test]
fn what_may_not_be_is_said() {
    let route = |more: &str| format!("{EMAIL}[[routes]]\nchannel = 'email'\nto = 'a@example.com'\n{more}");
    let said: Vec<String> = [
        "time_zone = 'Nowhere/Nothing'".to_owned(),
        "[email]\nhost = 'mail.example.com'\nsecurity = 'none'\nfrom = 'cs@example.com'".to_owned(),
        "[email]\nhost = 'localhost'\nsecurity = 'none'\nfrom = 'nobody'".to_owned(),
        "[email]\nhost = 'localhost'\nuser = 'cs'\nfrom = 'cs@example.com'".to_owned(),
        "[webhooks.desk]\nurl = 'http://desk.example.com/'\nsecret = { env = 'NOT_SET_ANYWHERE' }".to_owned(),
        "[webhooks.desk]\nurl = 'https://desk.example.com/'\nsecret = { env = 'NOT_SET_ANYWHERE' }"
            .to_owned(),
        "[[routes]]\nchannel = 'slack'\nto = 'C1'".to_owned(),
        format!("{EMAIL}[[routes]]\nchannel = 'email'"),
        route("after = 604801"),
        route("remind = 59"),
        route("remind = 60\nreminders = 11"),
        route("shows = 'everything'"),
        route("who = 'me'"),
    ]
    .iter()
    .map(|text| built(text).unwrap_err())
    .collect();
    insta::assert_snapshot!(said.join("\n"));
}
