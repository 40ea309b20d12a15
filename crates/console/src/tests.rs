mod fixtures;
mod pages;
mod policy;
