mod arbitrary;
mod finding;
mod following;
mod language;
mod reconciling;
