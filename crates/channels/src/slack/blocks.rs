//! The part of Block Kit that cards use, as types that hold its limits.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::limits::{
    BLOCKS, BUTTON, BUTTON_URL, CONFIRM_BUTTON, CONFIRM_TEXT, CONFIRM_TITLE, CONTEXT, FIELD, FIELDS, HEADER,
    INPUT_LABEL, PRIVATE_METADATA, SECTION, TEXT, VIEW_BLOCKS, VIEW_TITLE,
};
use super::text::{Markup, Text, escaped, fit};

/// A message: its blocks, and the line that notifications and screen readers use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Message {
    text: String,
    blocks: Blocks<BLOCKS>,
    // An address in somebody's words must not fetch a preview into the channel.
    unfurl_links: bool,
    unfurl_media: bool,
}

impl Message {
    /// A message of these blocks; `line` stands for it where they do not show.
    pub(super) fn new(line: &str, blocks: Blocks<BLOCKS>) -> Self {
        Self { text: fit(&escaped(line), TEXT).0, blocks, unfurl_links: false, unfurl_media: false }
    }
}

/// At most `MAX` blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Blocks<const MAX: usize>(Vec<Block>);

impl<const MAX: usize> Blocks<MAX> {
    /// Adds a block, if there is room.
    pub(super) fn push(&mut self, block: Block) {
        if self.0.len() < MAX {
            self.0.push(block);
        }
    }

    /// How many more fit.
    pub(super) fn room(&self) -> usize {
        MAX.saturating_sub(self.0.len())
    }
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    /// The title.
    Header { text: Text<HEADER> },
    /// A paragraph, with a button beside it.
    Section {
        text: Text<SECTION>,
        #[serde(skip_serializing_if = "Option::is_none")]
        accessory: Option<Button>,
    },
    /// Rows of names and values.
    #[serde(rename = "section")]
    Fields { fields: Vec<Text<FIELD>> },
    /// Small print.
    Context { elements: [Text<CONTEXT>; 1] },
    /// Buttons.
    Actions { block_id: String, elements: Vec<Button> },
    /// Words that somebody types.
    Input { block_id: String, label: Text<INPUT_LABEL>, element: Input },
}

impl Block {
    pub(super) fn header(words: &str) -> Self {
        Self::Header { text: Text::plain(words) }
    }

    pub(super) fn section(text: Text<SECTION>) -> Self {
        Self::Section { text, accessory: None }
    }

    pub(super) fn context(markup: &Markup) -> Self {
        Self::Context { elements: [Text::markup(markup)] }
    }

    /// Names with values, as many as one section holds: five rows.
    pub(super) fn rows(rows: Vec<(Markup, String)>) -> Vec<Self> {
        let texts: Vec<Text<FIELD>> =
            rows.iter().flat_map(|(name, value)| [Text::markup(name), Text::plain(value)]).collect();
        texts.chunks(FIELDS).map(|fields| Self::Fields { fields: fields.to_vec() }).collect()
    }
}

/// A button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Button {
    /// What it does.
    pub(super) action: Action,
    /// What stands on it.
    pub(super) label: &'static str,
    /// What a screen reader says of it.
    pub(super) said: String,
    /// What comes back with the click: an id and a version, and nothing else.
    pub(super) value: String,
    /// Where it leads, for those that only lead somewhere.
    pub(super) url: Option<String>,
    /// Asked before it counts.
    pub(super) confirm: Option<Confirm>,
}

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Approves.
    Approve,
    /// Asks for words, then denies.
    Deny,
    /// Asks for words, then asks.
    Ask,
    /// Leads to the console.
    Open,
}

impl Action {
    /// Its id in Slack.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Ask => "ask",
            Self::Open => "open",
        }
    }

    /// What an id of Slack's stands for.
    pub(super) fn of(id: &str) -> Option<Self> {
        [Self::Approve, Self::Deny, Self::Ask, Self::Open].into_iter().find(|action| action.id() == id)
    }
}

impl Serialize for Button {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "button")?;
        map.serialize_entry("action_id", self.action.id())?;
        map.serialize_entry("text", &Text::<BUTTON>::plain(self.label))?;
        map.serialize_entry("accessibility_label", &fit(&self.said, BUTTON).0)?;
        match self.action {
            Action::Approve => map.serialize_entry("style", "primary")?,
            Action::Deny => map.serialize_entry("style", "danger")?,
            Action::Ask | Action::Open => {}
        }
        if !self.value.is_empty() {
            map.serialize_entry("value", &self.value)?;
        }
        // A cut address would lead elsewhere: no address is better.
        if let Some(url) = self.url.as_ref().filter(|url| url.len() <= BUTTON_URL) {
            map.serialize_entry("url", url)?;
        }
        if let Some(confirm) = &self.confirm {
            map.serialize_entry("confirm", confirm)?;
        }
        map.end()
    }
}

/// A question before a click counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Confirm {
    pub(super) title: Text<CONFIRM_TITLE>,
    pub(super) text: Text<CONFIRM_TEXT>,
    pub(super) confirm: Text<CONFIRM_BUTTON>,
    pub(super) deny: Text<CONFIRM_BUTTON>,
}

/// A field to type into, of several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    /// Its id.
    pub(super) id: &'static str,
    /// The most characters that it takes; Slack allows up to 3,000.
    pub(super) longest: usize,
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "plain_text_input")?;
        map.serialize_entry("action_id", self.id)?;
        map.serialize_entry("multiline", &true)?;
        map.serialize_entry("min_length", &1)?;
        map.serialize_entry("max_length", &self.longest)?;
        map.end()
    }
}

/// A modal or a home tab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum View {
    /// A dialog that asks for words.
    Modal {
        callback_id: &'static str,
        title: Text<VIEW_TITLE>,
        submit: Text<VIEW_TITLE>,
        close: Text<VIEW_TITLE>,
        private_metadata: Carried,
        blocks: Blocks<VIEW_BLOCKS>,
    },
    /// What stands in the app's own tab.
    Home { blocks: Blocks<VIEW_BLOCKS> },
}

/// What a modal carries for us, within Slack's limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Carried(String);

impl Carried {
    /// The text, if it fits.
    pub(super) fn new(text: String) -> Option<Self> {
        (text.len() <= PRIVATE_METADATA).then_some(Self(text))
    }
}
