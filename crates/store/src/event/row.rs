//! Rows to events.

use std::collections::BTreeSet;

use bytes::Bytes;
use firelet_types::{Qualifier, Scope, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Error;
use crate::function::row::parse;

use super::{Event, EventId, Lane, NewEvent, Owned, Progress, Waiting};

const RECORD: &str = "event";

/// The id of the youngest event.
pub(super) fn last_id(connection: &Connection) -> Result<EventId, Error> {
    let step = "read the end of the queue of events";
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(id) FROM event")
        .map_err(Error::database(step))?
        .query_row([], |row| row.get(0))
        .map_err(Error::database(step))?;
    Ok(EventId(last.unwrap_or(0)))
}

/// The functions with events. Goes from one function to the next, past all events of each.
pub(super) fn lanes(connection: &Connection) -> Result<Vec<Owned>, Error> {
    let step = "list the functions with events";
    let mut next = connection
        .prepare_cached(
            "SELECT id, account FROM function WHERE id = (SELECT min(function) FROM event WHERE function > ?1)",
        )
        .map_err(Error::database(step))?;
    let mut lanes = Vec::new();
    let mut last = i64::MIN;
    while let Some(owned) =
        next.query_row([last], |row| Ok(decode_owned(row, 0))).optional().map_err(Error::database(step))?
    {
        let owned = owned?;
        last = owned.lane.0;
        lanes.push(owned);
    }
    Ok(lanes)
}

/// The functions with events accepted after `seen`, and the last of these.
pub(super) fn arrivals(connection: &Connection, seen: EventId) -> Result<(EventId, Vec<Owned>), Error> {
    let step = "list new events";
    let mut statement = connection
        .prepare_cached(
            "SELECT event.id, function.id, account FROM event JOIN function ON function.id = event.function
             WHERE event.id > ?1 ORDER BY event.id",
        )
        .map_err(Error::database(step))?;
    let mut rows = statement.query([seen.0]).map_err(Error::database(step))?;
    let (mut last, mut lanes) = (seen, BTreeSet::new());
    while let Some(row) = rows.next().map_err(Error::database(step))? {
        last = EventId(row.get(0).map_err(Error::database(step))?);
        lanes.insert(decode_owned(row, 1)?);
    }
    Ok((last, lanes.into_iter().collect()))
}

/// The id of a function and its account, from `column` on.
fn decode_owned(row: &Row<'_>, column: usize) -> Result<Owned, Error> {
    Ok(Owned {
        lane: Lane(row.get(column).map_err(Error::corrupt(RECORD))?),
        account: parse(row, column + 1)?,
    })
}

pub(super) fn waiting(connection: &Connection, lane: Lane, limit: usize) -> Result<Vec<Waiting>, Error> {
    let step = "list waiting events";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached("SELECT due, id FROM event WHERE function = ?1 ORDER BY due, id LIMIT ?2")
        .map_err(Error::database(step))?
        .query_map(params![lane.0, limit], |row| {
            Ok(Waiting { due: Timestamp::from_millis(row.get(0)?), id: EventId(row.get(1)?) })
        })
        .map_err(Error::database(step))?
        .collect::<Result<_, _>>()
        .map_err(Error::database(step))
}

pub(super) fn find(connection: &Connection, id: EventId) -> Result<Option<Event>, Error> {
    let step = "read an event";
    connection
        .prepare_cached(
            "SELECT account, region, name, qualifier, request_id, accepted, tenant, trace_header, invocations,
                 setbacks, payload
             FROM event JOIN function ON function.id = event.function WHERE event.id = ?1",
        )
        .map_err(Error::database(step))?
        .query_row([id.0], |row| Ok(decode(row)))
        .optional()
        .map_err(Error::database(step))?
        .transpose()
}

fn decode(row: &Row<'_>) -> Result<Event, Error> {
    let corrupt = || Error::corrupt(RECORD);
    let qualifier: Option<String> = row.get(3).map_err(corrupt())?;
    let tenant: Option<String> = row.get(6).map_err(corrupt())?;
    let payload: Vec<u8> = row.get(10).map_err(corrupt())?;
    let accepted = NewEvent {
        scope: Scope { account: parse(row, 0)?, region: parse(row, 1)? },
        function: parse(row, 2)?,
        qualifier: qualifier.as_deref().map(Qualifier::from),
        request_id: parse(row, 4)?,
        accepted: Timestamp::from_millis(row.get(5).map_err(corrupt())?),
        tenant: tenant.as_deref().map(str::parse).transpose().map_err(Error::corrupt(RECORD))?,
        trace_header: row.get(7).map_err(corrupt())?,
        payload: Bytes::from(payload),
    };
    let progress =
        Progress { invocations: row.get(8).map_err(corrupt())?, setbacks: row.get(9).map_err(corrupt())? };
    Ok(Event { accepted, progress })
}
