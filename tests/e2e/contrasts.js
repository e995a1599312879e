() => {
  // Texts that are too faint for their ground: below the 4.5 of WCAG 2.2 AA for text of ordinary size.
  const LEAST = 4.5;
  const rgba = (text) => {
    const [r, g, b, a] = text.match(/[\d.]+/g).map(Number);
    return [r, g, b, a ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (element) =>
    element ? over(rgba(getComputedStyle(element).backgroundColor), ground(element.parentElement)) : [255, 255, 255, 1];
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    if (!hasText(element) || !element.checkVisibility() || element.closest(".changed")) continue;
    const style = getComputedStyle(element);
    const behind = ground(element);
    const front = over(rgba(element.closest("svg") ? style.fill : style.color), behind);
    const [lighter, darker] = [luminance(front), luminance(behind)].sort((x, y) => y - x);
    const ratio = (lighter + 0.05) / (darker + 0.05);
    if (ratio < LEAST) faint.push(`${element.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return faint;
}
