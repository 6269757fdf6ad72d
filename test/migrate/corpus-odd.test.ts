// Every other pair of the corpus, from the second one on.
import { testCorpus } from "./corpus-half.ts";

testCorpus(1);
