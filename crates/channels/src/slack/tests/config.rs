use std::sync::Arc;

use async_trait::async_trait;
use domain::account::ExternalAccount;
use domain::id::ActionId;

use super::super::SlackConfig;
use crate::card::Card;
use crate::click::{Answer, Click, Clicks};

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

/// What comes of a table whose secrets are files with these texts.
fn built(table: &str) -> Result<bool, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("bot", "xoxb-1"), ("app", "xapp-1"), ("signing", "0123456789abcdef"), ("empty", "")]
    {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut config: SlackConfig = toml::from_str(table).map_err(|error| error.to_string())?;
    config.rebase(folder.path());
    let clicks: Arc<dyn Clicks> = Arc::new(Nobody);
    config.build(&clicks).map(|fitted| fitted.task.is_some()).map_err(|error| error.to_string())
}

const IDS: &str = "app = \"A0123ABCD\"\nteam = \"T0123ABCD\"\nbot_token = { file = \"bot\" }\n";

#[tokio::test]
async fn one_way_for_clicks() {
    assert_eq!(built(&format!("{IDS}app_token = {{ file = \"app\" }}")), Ok(true));
    assert_eq!(built(&format!("{IDS}signing_secret = {{ file = \"signing\" }}")), Ok(false));
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let socket = "app_token = { file = \"app\" }";
    for (what, table) in [
        ("no way for clicks", IDS.to_owned()),
        ("two ways", format!("{IDS}{socket}\nsigning_secret = {{ file = \"signing\" }}")),
        ("an app's id that is none", IDS.replace("A0123ABCD", "B0123ABCD") + socket),
        ("a workspace's name", IDS.replace("T0123ABCD", "acme") + socket),
        ("the app's token as the bot's", IDS.replace("\"bot\"", "\"app\"") + socket),
        ("the bot's token as the app's", format!("{IDS}app_token = {{ file = \"bot\" }}")),
        ("an empty secret", format!("{IDS}signing_secret = {{ file = \"empty\" }}")),
        ("a secret that is not there", format!("{IDS}app_token = {{ file = \"gone\" }}")),
        ("no TLS", format!("{IDS}{socket}\napi_url = \"http://slack.example/api/\"")),
        ("no slash", format!("{IDS}{socket}\napi_url = \"https://slack.example/api\"")),
        (
            "a credential in the address",
            format!("{IDS}{socket}\napi_url = \"https://a:b@slack.example/api/\""),
        ),
        (
            "a secret that stands there",
            format!("{}{socket}", IDS.replace("{ file = \"bot\" }", "\"xoxb-1\"")),
        ),
        ("an unknown key", format!("{IDS}{socket}\nchannel = \"x\"")),
    ] {
        let refused = built(&table).expect_err(what);
        assert!(!refused.contains("xoxb-1") || what == "a secret that stands there", "{what}: {refused}");
    }
}
