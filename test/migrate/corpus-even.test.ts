// Every other pair of the corpus, from the first one on.
import { testCorpus } from "./corpus-half.ts";

testCorpus(0);
