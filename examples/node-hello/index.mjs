// Says how many milliseconds a time span such as "2 days" has.
import ms from "ms";

let calls = 0;

export const handler = async (event, context) => {
  calls += 1;
  const span = event.span ?? "2 days";
  console.log(`converting ${span}, call ${calls} of this environment`);
  return { span, milliseconds: ms(span), call: calls, function: context.functionName };
};
