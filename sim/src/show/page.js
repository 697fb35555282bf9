"use strict";
// What can be done with the picture: hiding what is of no interest, opening all packets, finding a request's answer.
{
  const form = document.querySelector(".toolbar");
  const chart = document.querySelector(".chart");
  const messages = [...chart.querySelectorAll(".message")];
  // Landings come first, since the times beside them follow them.
  const others = [...chart.querySelectorAll(".landing"), ...chart.querySelectorAll(".time[data-kind], .slope")];
  form.hidden = false;

  const checked = (name) => new Set([...form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value));

  const filter = () => {
    const [clients, kinds] = [checked("client"), checked("kind")];
    const wanted = form.elements.search.value.trim().toLowerCase();
    const rows = new Map();
    for (const message of messages) {
      const { client, kind } = message.dataset;
      const isWanted = wanted === "" || message.textContent.toLowerCase().includes(wanted);
      const isShown = kinds.has(kind) && (client === undefined || clients.has(client)) && isWanted;
      message.classList.toggle("filtered", !isShown);
      rows.set(message.style.gridRowStart, isShown);
    }
    // A message's time and slope begin in its row; its landing leads back to it.
    for (const other of others) {
      const back = other.querySelector("a");
      const row = back ? document.querySelector(back.hash).style.gridRowStart : other.style.gridRowStart;
      const isKnown = rows.has(row);
      other.classList.toggle("filtered", isKnown ? !rows.get(row) : landingIsHidden(other));
    }
  };

  // The time of a landing stands in the landing's row, where there is no message.
  const landingIsHidden = (time) => {
    const landing = others.find((other) => other.className.startsWith("landing") && other.style.gridRowStart === time.style.gridRowStart);
    return landing !== undefined && landing.classList.contains("filtered");
  };

  // Of gaps with nothing shown between them, the first stands for all.
  const gaps = [...chart.querySelectorAll(".gap")];
  const rowOf = (item) => Number(item.style.gridRowStart);
  const join = () => {
    const shown = [...chart.querySelectorAll(".message, .note, .landing, .broken, .skipped")]
      .filter((item) => !item.classList.contains("filtered")).map(rowOf);
    let first = null;
    for (const gap of gaps) {
      const isApart = first === null || shown.some((row) => rowOf(first) < row && row < rowOf(gap));
      gap.classList.toggle("filtered", !isApart);
      if (isApart) {
        first = gap;
        gap.total = 0;
      }
      first.total += Number(gap.dataset.micros);
      first.isJoined = first !== gap;
    }
    for (const gap of gaps.filter((gap) => !gap.classList.contains("filtered"))) {
      const label = gap.firstElementChild;
      label.dataset.own ??= label.textContent;
      label.textContent = gap.isJoined ? `${Number((gap.total / 1e6).toFixed(2))} s pass` : label.dataset.own;
    }
  };

  form.addEventListener("input", (event) => {
    if (event.target.name === "open") {
      for (const message of messages) message.open = event.target.checked;
    } else if (event.target.name === "digests") {
      chart.classList.toggle("digests", event.target.checked);
    } else {
      filter();
      join();
    }
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.theme.addEventListener("click", () => {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const root = document.documentElement.style;
    const now = root.colorScheme || (isDark ? "dark" : "light");
    root.colorScheme = now === "dark" ? "light" : "dark";
  });

  // A request and its answer light up together.
  const pair = (message) => {
    const link = message.querySelector("a.pair");
    return link && document.querySelector(link.hash);
  };
  for (const message of messages) {
    const light = (isLit) => () => pair(message)?.classList.toggle("paired", isLit);
    message.addEventListener("mouseenter", light(true));
    message.addEventListener("mouseleave", light(false));
    message.addEventListener("focusin", light(true));
    message.addEventListener("focusout", light(false));
  }

  // Arrow keys walk through the packets that are shown.
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || event.target.tagName !== "SUMMARY") return;
    const shown = messages.filter((message) => !message.classList.contains("filtered"));
    const next = shown[shown.indexOf(event.target.parentElement) + step];
    if (next) {
      event.preventDefault();
      next.querySelector("summary").focus();
    }
  });
}
