//! `countersign route`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use domain::id::TargetName;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Context, lookup, propose};
use crate::cli::Ending;
use crate::output::Tone;
use crate::postgres::Document;

#[derive(Debug, Subcommand)]
pub(crate) enum Route {
    /// List the routes
    List,
    /// Print a route as `set` takes it
    Show {
        /// Its name
        name: TargetName,
    },
    /// Set a route from its file, new or changed
    Set {
        /// The file (TOML)
        file: PathBuf,
    },
    /// Remove a route
    Remove {
        /// Its name
        name: TargetName,
    },
    /// Check a route's file, offline
    Check {
        /// The file (TOML)
        file: PathBuf,
    },
}

pub(crate) async fn run(route: &Route, context: &Context) -> anyhow::Result<Ending> {
    match route {
        Route::Check { file } => {
            let (name, document) = read(file)?;
            if context.output.json {
                context.output.json(&document);
            } else {
                let said = format!("`{}` is a good route: `{name}`", file.display());
                context.output.line(&context.output.paint(&said, Tone::Good));
            }
            Ok(Ending::Fine)
        }
        Route::Set { file } => {
            let (name, document) = read(file)?;
            let path = format!("/v1/routes/{name}");
            let what = format!("set the route {name}");
            propose::propose(context, &context.signed_in()?, Method::PUT, &path, Some(&document), &what).await
        }
        Route::Remove { name } => {
            let path = format!("/v1/routes/{name}");
            let what = format!("remove the route {name}");
            propose::propose(context, &context.signed_in()?, Method::DELETE, &path, None, &what).await
        }
        Route::Show { name } => {
            let answer = context.signed_in()?.get(&format!("/v1/routes/{name}")).await?;
            if context.output.json {
                context.output.json(&answer);
            } else {
                let document = answer.get("document").unwrap_or(&Value::Null);
                let table = Document::parse_json(&document.to_string())
                    .context("the gateway is of another version")?
                    .to_table()?;
                context.output.line(toml::to_string(&without_empty(table))?.trim_end());
            }
            Ok(Ending::Fine)
        }
        Route::List => {
            let answer = context.signed_in()?.get("/v1/routes").await?;
            if context.output.json {
                context.output.json(&answer);
            } else {
                list(context, &answer);
            }
            Ok(Ending::Fine)
        }
    }
}

/// A route's name and its document, checked.
fn read(file: &Path) -> anyhow::Result<(TargetName, Value)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let wrong = || format!("`{}` is no good route", file.display());
    let route = Document::parse_toml(&text).with_context(wrong)?;
    let document = domain::canonical::read_value(route.to_document()?.as_bytes())?;
    Ok((route.name().clone(), document))
}

/// The same without lists and tables in which nothing stands: empty is what they are where they are left out.
fn without_empty(table: toml::Table) -> toml::Table {
    use toml::Value as Toml;
    let kept = |value: Toml| match value {
        Toml::Table(table) => {
            Some(Toml::Table(without_empty(table))).filter(|table| *table != Toml::Table(toml::Table::new()))
        }
        Toml::Array(items) if items.is_empty() => None,
        Toml::Array(items) => Some(Toml::Array(
            items
                .into_iter()
                .map(
                    |item| {
                        if let Toml::Table(table) = item { Toml::Table(without_empty(table)) } else { item }
                    },
                )
                .collect(),
        )),
        other @ (Toml::String(_)
        | Toml::Integer(_)
        | Toml::Float(_)
        | Toml::Boolean(_)
        | Toml::Datetime(_)) => Some(other),
    };
    table.into_iter().filter_map(|(name, value)| Some((name, kept(value)?))).collect()
}

fn list(context: &Context, answer: &Value) {
    let rows: Vec<_> = lookup::list(answer, "routes")
        .map(|route| {
            let document = route.get("document").cloned().unwrap_or_else(|| json!({}));
            let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let hosts: Vec<&str> = lookup::list(&document, "hosts").filter_map(Value::as_str).collect();
            let is_database = text("point") == domain::action::Point::Postgres.as_str();
            let answers = match (hosts.is_empty(), text("prefix")) {
                _ if is_database => "clients of PostgreSQL".to_owned(),
                (true, prefix) if prefix.is_empty() => "what no other route answers".to_owned(),
                (true, prefix) => prefix,
                (false, prefix) => format!("{}{prefix}", hosts.join(", ")),
            };
            let operations = lookup::list(&document, "operations").count();
            let name = route.get("name").and_then(Value::as_str).unwrap_or_default();
            let secret = document.get("credential").and_then(|credential| credential.get("secret")?.as_str());
            vec![
                name.into(),
                text("environment").into(),
                answers.into(),
                if is_database { text("server") } else { text("upstream") }.into(),
                operations.to_string().into(),
                secret.unwrap_or("none").into(),
            ]
        })
        .collect();
    let nothing = "there is no route yet; set one with `countersign route set FILE.toml`";
    context.output.table(
        &["route", "in", "answers for", "upstream", "operations", "credential"],
        &rows,
        nothing,
    );
}
