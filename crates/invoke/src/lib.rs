//! One invocation from accept to answer.
