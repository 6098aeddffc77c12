//! The whole world as JSON, to be put back later, with the merchants that joined while the sandbox ran. The keys of the
//! others, the log of requests and used nonces are no part of it.

use crate::World;
use crate::ambient::Moment;
use crate::keys::{Joined, Keys};
use crate::settings::Settings;
use crate::state::State;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a snapshot calls itself.
const FORMAT: &str = "wechatpay-sandbox snapshot";

/// Counts up whenever what is remembered changes its form.
const VERSION: u64 = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: u64,
    settings: Settings,
    moment: Moment,
    state: State,
    merchants: Vec<Joined>,
}

/// The world as it is.
pub(crate) fn take(keys: &Keys, world: &World) -> Result<Value, String> {
    describe(&world.settings, world.ambient.moment(), &world.state, &keys.joined())
}

fn describe(settings: &Settings, moment: Moment, state: &State, merchants: &[Joined]) -> Result<Value, String> {
    let explain = |error: serde_json::Error| format!("the state cannot be written down: {error}");
    Ok(json!({
        "format": FORMAT,
        "version": VERSION,
        "settings": serde_json::to_value(settings).map_err(explain)?,
        "moment": serde_json::to_value(moment).map_err(explain)?,
        "state": serde_json::to_value(state).map_err(explain)?,
        "merchants": serde_json::to_value(merchants).map_err(explain)?,
    }))
}

/// Puts a world back, all of it or nothing.
///
/// # Errors
/// Why the snapshot is not taken. It holds what is secret elsewhere, so that no value of it is repeated.
pub(crate) fn restore(keys: &Keys, world: &mut World, snapshot: &Value) -> Result<(), String> {
    if snapshot.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(format!("this is no snapshot of a sandbox: \"format\" is not {FORMAT:?}"));
    }
    let version = snapshot.get("version").and_then(Value::as_u64);
    if version != Some(VERSION) {
        let found = version.map_or("none".to_owned(), |version| version.to_string());
        return Err(format!(
            "the snapshot has version {found}, this sandbox reads {VERSION}; take it again with this one"
        ));
    }
    let read: Result<Snapshot, _> = serde_path_to_error::deserialize(snapshot);
    let Snapshot { settings, moment, state, merchants, .. } = read.map_err(|error| misfit(&error))?;
    // What would be lost is refused as well.
    if describe(&settings, moment, &state, &merchants)? != *snapshot {
        return Err(
            "the snapshot holds something that this sandbox does not know; it was changed, or is another's".into()
        );
    }
    let before = world.ambient.moment();
    world.ambient.resume(moment)?;
    if let Err(why) = keys.rejoin(merchants) {
        world.ambient.resume(before)?;
        return Err(why);
    }
    (world.settings, world.state) = (settings, state);
    world.replaced();
    Ok(())
}

/// Where a snapshot does not fit; deeper than that, places are named after users and codes.
fn misfit(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path().to_string();
    let place: Vec<_> = path.split('.').take(3).collect();
    format!("the snapshot does not fit at {}; it was changed, or is another's", place.join("."))
}
