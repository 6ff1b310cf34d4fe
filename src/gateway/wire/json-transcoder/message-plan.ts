import type { DescMessage } from '@bufbuild/protobuf';
import { OBJECTS } from './contract-mapping.ts';
import { type FieldPlan, type FieldsByNumber, KIND, kindOf, type MessagePlan, planField } from './field-plan.ts';
import type { Places } from './locate-fields.ts';

/**
 * How to get from the bytes of a message to its JSON: what `OBJECTS` says, and what follows from the types of the fields.
 * Throws when they do not fit: each field must have its place, and be of a kind whose JSON is known.
 */
export function planMessage(message: DescMessage): MessagePlan {
  const mapping = OBJECTS.find((candidate) => candidate.message.typeName === message.typeName);
  if (!mapping) throw new Error(`${message} has no mapping to JSON`);
  const { members, omittedWhenEmpty = [], emptyWhenUnset = [] } = mapping;
  const planned = new Map<string, FieldPlan>();
  let slots = 0;

  function planFields({ fields }: DescMessage, prefix: string): FieldsByNumber {
    const byNumber: (FieldPlan | undefined)[] = [];
    for (const field of fields) {
      const path = prefix + field.name;
      const slot = slots;
      slots += 2;
      const isFlattened = members.some((member) => member.startsWith(`${path}.`));
      if (!isFlattened && !members.includes(path)) throw new Error(`${field} has no place in the JSON`);
      const isObject = kindOf(field) === KIND.object;
      const plan = planField(field, emptyWhenUnset.includes(path), {
        slot,
        isOmittedWhenEmpty: omittedWhenEmpty.includes(path),
        flattened: isFlattened ? planFields(field.message!, `${path}.`) : undefined,
        object: isObject && !isFlattened ? planMessage(field.message!) : undefined,
      });
      byNumber[field.number] = plan;
      planned.set(path, plan);
    }
    // Without holes, which would make each look into it slower.
    return Array.from(byNumber);
  }

  const fields = planFields(message, '');
  for (const path of [...members, ...omittedWhenEmpty, ...emptyWhenUnset]) {
    if (!planned.has(path)) throw new Error(`${message} has no field ${path}`);
  }
  return { fields, members: members.map((path) => planned.get(path)!), positions: new Int32Array(slots) };
}

/** Only to see where the fields of a message are. */
export function planPlaces({ fields }: DescMessage): Places {
  const byNumber: (FieldPlan | undefined)[] = [];
  for (const [index, field] of fields.entries()) {
    const place = { slot: 2 * index, isOmittedWhenEmpty: false, object: undefined, flattened: undefined };
    byNumber[field.number] = planField(field, false, place);
  }
  return { fields: Array.from(byNumber), positions: new Int32Array(2 * fields.length) };
}
