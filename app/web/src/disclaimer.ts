import source from "../../../medtune/disclaimer.py?raw"; // read when the page is built

const found = /DISCLAIMER = "(.+)"/.exec(source);
if (!found?.[1]) throw new Error("medtune/disclaimer.py holds no DISCLAIMER");

export const DISCLAIMER: string = found[1];
