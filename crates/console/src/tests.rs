mod fixtures;
mod pages;
mod policy;
mod served;
mod trail;
