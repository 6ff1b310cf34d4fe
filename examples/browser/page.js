const EVENTS_SHOWN = 200;

const byId = (id) => document.getElementById(id);

/** Fills in a text, never markup: what is shown comes from the server. */
function createElement(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** Connects the form with `watch`, and shows what that reports. Both pages have the same elements. */
export function startPage(watch) {
  let connection;
  byId('connection').addEventListener('submit', async (event) => {
    event.preventDefault();
    if (connection) return connection.abort();
    connection = new AbortController();
    setConnected(true);
    const { signal } = connection;
    const view = createView();
    try {
      const state = await watch({
        workflowId: byId('workflow-id').value.trim(),
        apiKey: byId('api-key').value.trim(),
        silenceMs: byId('silence').valueAsNumber * 1_000,
        onEvent: view.showEvent,
        onStatus: showStatus,
        signal,
      });
      view.showState(state);
      showStatus('over', `The workflow is over: ${state}.`);
    } catch (error) {
      if (signal.aborted) showStatus('idle', 'Disconnected.');
      else showStatus('refused', `Stopped: ${error.message}`);
    } finally {
      connection = undefined;
      setConnected(false);
    }
  });
}

function setConnected(connected) {
  for (const id of ['workflow-id', 'api-key', 'silence']) byId(id).readOnly = connected;
  byId('connect').textContent = connected ? 'Disconnect' : 'Connect';
}

function showStatus(status, text) {
  byId('status').dataset.status = status;
  byId('status').textContent = text;
}

/** Empties the page, and fills it with one workflow. */
function createView() {
  const rows = new Map();
  byId('workflow').hidden = true;
  byId('steps').replaceChildren();
  byId('events').replaceChildren();

  function showState(state) {
    byId('state').textContent = state;
    byId('state').dataset.state = state;
  }

  function rowOf(stepId) {
    if (rows.has(stepId)) return rows.get(stepId);
    const row = createElement('li', 'step', '');
    const name = createElement('label', 'step-name', stepId);
    const bar = createElement('progress', '', '');
    bar.id = `step-${rows.size}`;
    name.htmlFor = bar.id;
    bar.value = 0;
    const state = createElement('span', 'step-state', 'QUEUED');
    const message = createElement('span', 'step-message', '');
    row.append(name, state, bar, message);
    byId('steps').append(row);
    rows.set(stepId, { row, bar, state, message });
    return rows.get(stepId);
  }

  function showStep({ step_id, state, fraction, error }) {
    const parts = rowOf(step_id);
    parts.bar.value = state === 'SUCCEEDED' ? 1 : fraction;
    parts.row.dataset.state = state;
    parts.state.textContent = textOfStep({ state, fraction });
    parts.message.textContent = error?.message ?? '';
  }

  function showWorkflow({ name, state, steps, step_statuses }) {
    byId('workflow').hidden = false;
    byId('name').textContent = name;
    showState(state);
    for (const { id } of steps) rowOf(id);
    for (const status of step_statuses) showStep(status);
  }

  return {
    showState,
    showEvent({ type, id, data }) {
      if (data.workflow_update) showWorkflow(data.workflow_update);
      if (data.step_update) showStep(data.step_update);
      const entry = createElement('li', `event ${type}`, '');
      entry.dataset.type = type;
      entry.dataset.id = type === 'gap' ? '' : id;
      entry.append(
        createElement('span', 'event-id', entry.dataset.id),
        createElement('span', '', textOfEvent(type, data)),
      );
      byId('events').prepend(entry);
      while (byId('events').childElementCount > EVENTS_SHOWN) byId('events').lastElementChild.remove();
    },
  };
}

function textOfStep({ state, fraction }) {
  return state === 'RUNNING' ? `${Math.round(fraction * 100)} %` : state;
}

function textOfEvent(type, data) {
  if (data.step_update) return `${data.step_update.step_id}: ${textOfStep(data.step_update)}`;
  if (data.workflow_update) return `The workflow is ${data.workflow_update.state}`;
  if (type === 'gap') return `Events after ${data.requested} are gone; the oldest that is left is ${data.oldest}`;
  return type;
}
