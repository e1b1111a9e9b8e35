/** mesh: one binary; this file picks the mode. */
console.log("mesh");
