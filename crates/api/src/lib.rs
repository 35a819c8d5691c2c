//! Wire shapes, routes, constraints and error shapes of the Lambda API, generated from the service model.
